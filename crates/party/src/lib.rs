//! What a data owner does: verify, sign, seal, authorize, open
