"""The vocabulary that every other room speaks: ARNs, principals, requests, decisions. Values only, no behaviour beyond
parsing, formatting and comparing. Rules G.
"""
