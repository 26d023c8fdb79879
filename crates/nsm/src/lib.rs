//! Nitro Security Module: requests over /dev/nsm or a socket
