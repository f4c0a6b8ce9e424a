"""The wing for ONNX models, which needs neither onnx nor onnxruntime."""
