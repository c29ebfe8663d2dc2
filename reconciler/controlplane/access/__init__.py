"""Who makes a request, and whether they may: authentication and RBAC.

`rules`, `policy` and `escalation` are pure; `tokens` signs and checks;
`authenticator` and `authorizer` look at the stored objects.
"""
