//! A Nitro Security Module in this process, which can be told to misbehave.

use std::os::fd::OwnedFd;
use std::thread::JoinHandle;

use entente_attestation::{Digest384, extend};
use entente_nsm::codec::{Request, Response};
use entente_nsm::{AttestationRequest, Lock, Nsm, NsmErrorCode, PcrState};
use entente_testkit::{Attestation, ForgedHypervisor};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socketpair};

use crate::world::{NOW, World};

/// Looks at each question and at the true answer, and gives the one that is sent.
pub(crate) type Mischief = Box<dyn FnMut(&Request, Response) -> Response + Send>;

pub(crate) struct Module {
    pub(crate) hypervisor: ForgedHypervisor,
    pub(crate) registers: [PcrState; 32],
    /// The hypervisor's time for the first document, second document, …; the last one stays.
    pub(crate) times: Vec<u64>,
    pub(crate) mischief: Mischief,
}

impl Module {
    pub(crate) fn honest(world: &World) -> Self {
        let register = |index| PcrState {
            lock: if index < 16 { Lock::Locked } else { Lock::Unlocked },
            value: match index {
                0..3 => *world.measurements.get(index).unwrap(),
                _ => Digest384::ZERO,
            },
        };
        Self {
            hypervisor: world.hypervisor.clone(),
            registers: std::array::from_fn(register),
            times: vec![NOW],
            mischief: Box::new(|_, response| response),
        }
    }

    /// Starts it. It returns the questions once the enclave has ended.
    pub(crate) fn start(mut self) -> (Nsm, JoinHandle<Vec<Request>>) {
        let (ours, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap();
        let thread = std::thread::spawn(move || self.serve(&theirs));
        (Nsm::over_socket(ours).unwrap(), thread)
    }

    fn serve(&mut self, socket: &OwnedFd) -> Vec<Request> {
        let mut questions = Vec::new();
        loop {
            let mut room = vec![0; 0x2000];
            let length = recv(socket, &mut room, RecvFlags::empty()).map_or(0, |(_, length)| length);
            if length == 0 {
                return questions;
            }
            let request = Request::decode(room.get(..length).unwrap()).unwrap();
            let answer = self.answer(&request);
            let answer = (self.mischief)(&request, answer);
            questions.push(request);
            if send(socket, &answer.encode().unwrap(), SendFlags::NOSIGNAL).is_err() {
                return questions;
            }
        }
    }

    fn answer(&mut self, request: &Request) -> Response {
        match request {
            Request::DescribePcr { index } => Response::DescribePcr(*self.register(*index)),
            Request::ExtendPcr { index, data } => {
                let register = self.register(*index);
                if register.lock == Lock::Locked {
                    return Response::Error(NsmErrorCode::ReadOnlyIndex);
                }
                register.value = extend(&register.value, data);
                Response::ExtendPcr { data: register.value }
            }
            Request::LockPcr { index } => {
                self.register(*index).lock = Lock::Locked;
                Response::LockPcr
            }
            Request::GetRandom => Response::GetRandom { random: vec![4; 256] },
            Request::Attestation(request) => Response::Attestation { document: self.document(request) },
            Request::DescribeNsm | Request::LockPcrs { .. } => {
                Response::Error(NsmErrorCode::InvalidOperation)
            }
        }
    }

    fn register(&mut self, index: u16) -> &mut PcrState {
        self.registers.get_mut(usize::from(index)).unwrap()
    }

    pub(crate) fn document(&mut self, request: &AttestationRequest) -> Vec<u8> {
        let time = if self.times.len() > 1 { self.times.remove(0) } else { *self.times.first().unwrap() };
        let mut attestation = Attestation::at(time);
        attestation.pcrs.clear();
        for (index, register) in (0..).zip(&self.registers) {
            if register.lock == Lock::Locked {
                attestation.pcrs.insert(index, register.value.as_bytes().to_vec());
            }
        }
        attestation.public_key.clone_from(&request.public_key);
        attestation.user_data.clone_from(&request.user_data);
        attestation.nonce.clone_from(&request.nonce);
        self.hypervisor.attest(&attestation)
    }
}
