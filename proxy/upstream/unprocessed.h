// What proves that a peer has processed nothing of a request that went out on a connection that was
// used before. Only such a request is sent again unasked, whatever its method. Two things count:
//
// 1. Not a byte of it was given to the kernel.
// 2. The peer ended the connection by a FIN, after that it refused the request by a RST, and its
//    kernel has acknowledged no byte of it. The FIN acknowledges whatever had arrived before it, so
//    the request came later; the RST says that nobody was there to read it. That is an application
//    that closed while the request was on its way, and nothing else: one that read it and died
//    either has its bytes acknowledged or sends no FIN.
//
// Neither half of 2 will do alone. After a FIN only, the peer may have ended but its own direction
// and go on reading; after a RST only, it may have read the request and died before the kernel
// acknowledged it (acknowledgements wait for up to 40 ms and more). Of a RST the kernel processes
// no acknowledgement either. What is left is an application that says it will answer nothing more,
// then reads, acts, and resets, all before its kernel acknowledges; RFC 9112 section 9.6 knows no
// such server.
//
// TLS: bytes on the wire are not those of the request, so only 1 counts. Thread: the worker's.
#pragma once

#include <cstdint>

namespace remora::upstream {

enum class Fate : uint8_t {
  Open,     // nothing is acknowledged, nothing refused: the next segment will tell
  Refused,  // certainly not processed
  Unclear,  // some of it was acknowledged, or the kernel does not say
};

/// Of the last `sent` bytes that were written to a TCP socket whose peer has sent its FIN, which
/// was read.
Fate fate_after_end(int fd, uint64_t sent);

}  // namespace remora::upstream
