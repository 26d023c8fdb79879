//! Attestation documents in the form of current hardware (AWS nsm-api, `docs/attestation_process.md`; RFC 9052).

use aws_lc_rs::rand::SystemRandom;
use entente_attestation::UnixTime;
use entente_nsm::AttestationRequest;
use minicbor::encode::Error;
use minicbor::{Encoder, data::Int};

use crate::authority::Credentials;
use crate::registers::Registers;

/// Bytes of a signature: r and s of ECDSA on P-384.
pub const SIGNATURE: usize = 96;
/// Protected header `{1: -35}`: algorithm ES384.
const PROTECTED: [u8; 4] = [0xa1, 0x01, 0x38, 0x22];

/// The payload of a document, field by field.
pub struct Payload<'a> {
    module_id: &'a str,
    timestamp: UnixTime,
    registers: &'a Registers,
    certificate: &'a [u8],
    cabundle: &'a [Vec<u8>],
    request: &'a AttestationRequest,
}

impl<'a> Payload<'a> {
    /// Collects the fields of a payload.
    pub fn new(
        module_id: &'a str,
        timestamp: UnixTime,
        registers: &'a Registers,
        credentials: &'a Credentials,
        request: &'a AttestationRequest,
    ) -> Self {
        let (certificate, cabundle) = (credentials.certificate(), credentials.cabundle());
        Self { module_id, timestamp, registers, certificate, cabundle, request }
    }

    /// The payload's bytes as hardware has written them since August 2025: an indefinite-length map in a fixed order of
    /// keys, definite inside, absent fields null, the timestamp in milliseconds and eight bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Encoder::new(Vec::new());
        // Writing into memory cannot fail, and what is written has no form that could be refused.
        let _ = self.write(&mut out);
        out.into_writer()
    }

    fn write(&self, e: &mut Encoder<Vec<u8>>) -> Result<(), Error<core::convert::Infallible>> {
        e.begin_map()?;
        e.str("module_id")?.str(self.module_id)?;
        e.str("digest")?.str("SHA384")?;
        e.str("timestamp")?.int(Int::from(self.timestamp.as_millis()))?;
        let registers: Vec<_> = self.registers.locked().collect();
        e.str("pcrs")?.map(u64::try_from(registers.len()).unwrap_or(u64::MAX))?;
        for (index, value) in registers {
            e.u16(index)?.bytes(value.as_bytes())?;
        }
        e.str("certificate")?.bytes(self.certificate)?;
        e.str("cabundle")?.array(u64::try_from(self.cabundle.len()).unwrap_or(u64::MAX))?;
        for certificate in self.cabundle {
            e.bytes(certificate)?;
        }
        for (name, field) in [
            ("public_key", &self.request.public_key),
            ("user_data", &self.request.user_data),
            ("nonce", &self.request.nonce),
        ] {
            e.str(name)?;
            match field {
                Some(bytes) => e.bytes(bytes)?,
                None => e.null()?,
            };
        }
        e.end()?;
        Ok(())
    }
}

/// Signs a payload: an untagged COSE_Sign1 with ES384.
pub(crate) fn sign(payload: &[u8], credentials: &Credentials) -> Option<Vec<u8>> {
    // Sig_structure (RFC 9052, section 4.4): ["Signature1", protected, external_aad, payload].
    let mut signed = Encoder::new(Vec::new());
    signed.array(4).ok()?.str("Signature1").ok()?;
    signed.bytes(&PROTECTED).ok()?.bytes(&[]).ok()?.bytes(payload).ok()?;
    let signature = credentials.key().sign(&SystemRandom::new(), signed.writer()).ok()?;

    let mut document = Encoder::new(Vec::new());
    document.array(4).ok()?.bytes(&PROTECTED).ok()?.map(0).ok()?;
    document.bytes(payload).ok()?.bytes(signature.as_ref()).ok()?;
    Some(document.into_writer())
}
