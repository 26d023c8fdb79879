//! Agreements, approvals, manifests, input sets and requests: the text objects that parties sign
