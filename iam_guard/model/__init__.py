"""The value types that all packages share: ARNs, principals, requests, decisions. They only parse, format and compare
(rules G).
"""
