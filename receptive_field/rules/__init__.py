"""Rules for families of ops, computed from numbers such as kernel sizes and strides.

This package does not know about any framework or op type.
"""
