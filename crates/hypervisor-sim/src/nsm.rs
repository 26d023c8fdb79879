//! The simulated Nitro Security Module.

use std::io;
use std::os::fd::OwnedFd;

use entente_nsm::NsmErrorCode;
use entente_nsm::codec::{
    AttestationRequest, CodecError, MAX_REQUEST, ModuleDescription, PCR_COUNT, PcrDigest, Request, Response,
};
use rustix::io::{Errno, retry_on_intr};
use rustix::net::{RecvFlags, SendFlags, recv, send};

use crate::authority::Identity;
use crate::clock::Clock;
use crate::document::{Payload, sign};
use crate::registers::Registers;

/// Bytes in one answer to `GetRandom`.
pub const RANDOM: usize = 256;

/// Something that answers requests to an NSM: bytes in, bytes out, one answer for each request.
pub trait Module: Send {
    /// The answer to one request.
    fn answer(&mut self, request: &[u8]) -> Vec<u8>;
}

/// An NSM that behaves as Nitro's, with registers, identity and clock of the caller's choice.
pub struct NsmDevice {
    module_id: String,
    registers: Registers,
    identity: Box<dyn Identity>,
    clock: Clock,
}

impl NsmDevice {
    /// A device with this name (`i-<instance>-enc<enclave>`).
    pub fn new(module_id: &str, registers: Registers, identity: Box<dyn Identity>, clock: Clock) -> Self {
        Self { module_id: module_id.to_owned(), registers, identity, clock }
    }

    /// The registers as they stand.
    pub fn registers(&self) -> &Registers {
        &self.registers
    }

    fn respond(&mut self, request: Request) -> Result<Response, NsmErrorCode> {
        Ok(match request {
            Request::DescribeNsm => Response::DescribeNsm(ModuleDescription {
                version_major: 1,
                version_minor: 0,
                version_patch: 0,
                module_id: self.module_id.clone(),
                max_pcrs: PCR_COUNT,
                locked_pcrs: self.registers.locked().map(|(index, _)| index).collect(),
                digest: PcrDigest::Sha384,
            }),
            Request::DescribePcr { index } => Response::DescribePcr(self.registers.describe(index)?),
            Request::ExtendPcr { index, data } => {
                Response::ExtendPcr { data: self.registers.extend(index, &data)? }
            }
            Request::LockPcr { index } => {
                self.registers.lock(index)?;
                Response::LockPcr
            }
            Request::LockPcrs { range } => {
                self.registers.lock_below(range)?;
                Response::LockPcrs
            }
            Request::Attestation(request) => Response::Attestation { document: self.document(&request)? },
            Request::GetRandom => {
                let mut random = vec![0; RANDOM];
                getrandom::fill(&mut random).map_err(|_| NsmErrorCode::InternalError)?;
                Response::GetRandom { random }
            }
        })
    }

    fn document(&mut self, request: &AttestationRequest) -> Result<Vec<u8>, NsmErrorCode> {
        let now = self.clock.now();
        let credentials =
            self.identity.credentials(&self.module_id, now).map_err(|_| NsmErrorCode::InternalError)?;
        let payload = Payload::new(&self.module_id, now, &self.registers, credentials, request).to_bytes();
        sign(&payload, credentials).ok_or(NsmErrorCode::InternalError)
    }
}

impl Module for NsmDevice {
    fn answer(&mut self, request: &[u8]) -> Vec<u8> {
        let response = match Request::decode(request) {
            Ok(request) => self.respond(request).unwrap_or_else(Response::Error),
            Err(error) => Response::Error(code_of(error)),
        };
        response
            .encode()
            .unwrap_or_else(|_| Response::Error(NsmErrorCode::BufferTooSmall).encode().unwrap_or_default())
    }
}

/// What the module says to bytes that are not a request. Lengths are `InputTooLarge`, as the module's own error says;
/// for the rest the reference is QEMU's module, which calls an unknown operation invalid.
fn code_of(error: CodecError) -> NsmErrorCode {
    match error {
        CodecError::MessageTooLong { .. } | CodecError::FieldLength { .. } => NsmErrorCode::InputTooLarge,
        CodecError::UnknownVariant => NsmErrorCode::InvalidOperation,
        _ => NsmErrorCode::InvalidArgument,
    }
}

/// Answers requests on a `SOCK_SEQPACKET` socket, one packet each, until the other side closes it.
///
/// A request above 4096 bytes is answered with an error and not kept; answers wait for the reader, so at most one
/// is in memory.
///
/// # Errors
///
/// Whatever the system says of the socket, except that its closing is a normal end.
pub fn serve(socket: &OwnedFd, module: &mut dyn Module) -> io::Result<()> {
    // One byte more than allowed: a packet that fills it is too long.
    let mut buffer = [0; MAX_REQUEST + 1];
    loop {
        let length = match retry_on_intr(|| recv(socket, &mut buffer[..], RecvFlags::empty())) {
            Ok((0, _)) | Err(Errno::CONNRESET) => return Ok(()),
            Ok((length, _)) => length.min(buffer.len()),
            Err(error) => return Err(error.into()),
        };
        let answer = module.answer(&buffer[..length]);
        match retry_on_intr(|| send(socket, &answer, SendFlags::NOSIGNAL)) {
            Ok(_) => {}
            Err(Errno::PIPE | Errno::CONNRESET) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}
