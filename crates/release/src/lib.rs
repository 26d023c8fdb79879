//! Key release: KMS key policies, their evaluation and rendering, and the Recipient exchange
