"""A network without its global edges, in which only local paths can be followed."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from receptive_field.graph.graph import Tensor
from receptive_field.network.network import Edge, Network, spelled
from receptive_field.relations.relation import Relation, is_exact
from receptive_field.rules.op import Relations

Rules = Mapping[Edge, Relation]
"""Replacement rules for some edges, used to test the effect of a change."""


@dataclass(slots=True)
class LocalNetwork(Network):
    """A network in which global edges lead nowhere, and some rules may be replaced."""

    skipped: Collection[Edge] = ()
    """The global edges. An edge that is global only because its rule is unknown is
    followed nevertheless."""
    rules: dict[Tensor, Relations] = field(default_factory=dict)
    """The relations that are already known."""

    def relations(self, tensor: Tensor) -> Relations:
        """Returns the relations of a tensor to the inputs of its node."""
        found = self.rules.get(tensor)
        if found is None:
            whole = list(Network.relations(self, tensor))
            for number, below in self.edges(tensor[0]):
                rule = whole[number]
                if rule is not None and (tensor, number) in self.skipped:
                    rule = spelled(rule, below, self)
                    if all(map(is_exact, rule.axes)):
                        whole[number] = None
            found = self.rules[tensor] = whole
        return found

    def with_rules(self, rules: Rules) -> LocalNetwork:
        """Returns the network with the rules of some edges replaced."""
        changed = dict(self.rules)
        for (tensor, number), rule in rules.items():
            relations = list(changed.get(tensor) or self.relations(tensor))
            relations[number] = rule
            changed[tensor] = relations
        return replace(self, rules=changed)


def without_edges(network: Network, skipped: Collection[Edge]) -> LocalNetwork:
    """Returns a network in which these global edges lead nowhere."""
    fields = {name: getattr(network, name) for name in Network.__slots__}
    return LocalNetwork(**fields, skipped=skipped)
