//! The two calls to the kernel that no safe interface offers: the NSM's ioctl, and taking an inherited descriptor. All
//! `unsafe` of the workspace is here.
#![expect(unsafe_code, reason = "the NSM's ioctl and inherited descriptors have no safe interface")]

use std::ffi::c_void;
use std::marker::PhantomData;
use std::os::fd::{BorrowedFd, OwnedFd, RawFd};

use rustix::io::Errno;
use rustix::ioctl::{Ioctl, IoctlOutput, Opcode, opcode};

/// `struct iovec` of `linux/uio.h`.
#[repr(C)]
struct Iovec {
    base: *mut c_void,
    len: usize,
}

/// `struct nsm_raw` of `linux/nsm.h`.
#[repr(C)]
struct NsmRaw {
    request: Iovec,
    response: Iovec,
}

/// `NSM_IOCTL_RAW`, `_IOWR(0x0A, 0x0, struct nsm_raw)`.
const NSM_IOCTL_RAW: Opcode = opcode::read_write::<NsmRaw>(0x0A, 0);
const _: () = assert!(NSM_IOCTL_RAW == 0xC020_0A00, "the number that WIRE.md gives for 64-bit systems");

/// One request and the room for its answer. The borrow of both buffers lives as long as the pointers in `raw`.
struct Exchange<'b> {
    raw: NsmRaw,
    buffers: PhantomData<(&'b [u8], &'b mut [u8])>,
}

// SAFETY: `as_ptr` points to a `struct nsm_raw` (same layout: `repr(C)`, two `struct iovec`), which is what the opcode takes. The
// driver only reads `request.len` bytes at `request.base`, which is a live `&[u8]`, and writes at most `response.len` bytes at
// `response.base`, a live `&mut [u8]`; it writes the struct back with the answer's length in `response.len`, so `IS_MUTATING`.
// On a descriptor that is no NSM the number belongs to no other driver with another argument type (WIRE.md: magic 0x0A), and
// the only caller passes a descriptor that `Nsm::open` got from `/dev/nsm`.
unsafe impl Ioctl for Exchange<'_> {
    type Output = usize;

    const IS_MUTATING: bool = true;

    fn opcode(&self) -> Opcode {
        NSM_IOCTL_RAW
    }

    fn as_ptr(&mut self) -> *mut c_void {
        (&raw mut self.raw).cast()
    }

    unsafe fn output_from_ptr(_: IoctlOutput, argument: *mut c_void) -> rustix::io::Result<usize> {
        // SAFETY: `rustix::ioctl::ioctl` passes the pointer that `as_ptr` gave, to an `NsmRaw` that is still alive.
        Ok(unsafe { (*argument.cast::<NsmRaw>()).response.len })
    }
}

/// Sends a request to the NSM and returns the length of the answer, which is at the start of `response`.
pub(crate) fn exchange(device: BorrowedFd<'_>, request: &[u8], response: &mut [u8]) -> Result<usize, Errno> {
    let room = response.len();
    let raw = NsmRaw {
        // The driver never writes to the request (`copy_from_user` only): the cast to `*mut` is the C struct's type.
        request: Iovec { base: request.as_ptr().cast_mut().cast(), len: request.len() },
        response: Iovec { base: response.as_mut_ptr().cast(), len: room },
    };
    let exchange = Exchange { raw, buffers: PhantomData };
    // SAFETY: see the `impl Ioctl`: opcode, argument type and accesses are those of the Linux NSM driver, and both buffers are
    // borrowed until this function returns.
    let length = unsafe { rustix::ioctl::ioctl(device, exchange) }?;
    if length > room { Err(Errno::MSGSIZE) } else { Ok(length) }
}

/// A close-on-exec duplicate of the descriptor with this number, if there is one.
pub(crate) fn duplicate(number: RawFd) -> Option<OwnedFd> {
    if number < 0 {
        return None;
    }
    // SAFETY: the number is only handed to `fcntl(F_DUPFD_CLOEXEC)`, for the length of that call; on a number that is not open it
    // answers EBADF and touches nothing. No memory safety depends on it. The borrow ends here; the duplicate is owned.
    let borrowed = unsafe { BorrowedFd::borrow_raw(number) };
    rustix::io::fcntl_dupfd_cloexec(borrowed, 5).ok()
}
