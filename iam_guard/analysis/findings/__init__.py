"""Findings of an analyzer: access that the policies of a store allow (section K of the rules).

`external_access` finds who outside of a zone of trust can access a resource, `internal_access` who inside;
`unused_findings` finds access that is not used, and `replacement_policies` what to do about it. `shared_resources`
reads the resources with a policy from a store, with their zones of trust; `resource_types` names the type of a
resource.
"""
