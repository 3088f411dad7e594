// Memory for the buffers that OpenSSL reads and writes TLS records with. It takes one of 16 KiB and
// a little for each turn of a connection and gives it back, so that idle connections hold none;
// from a heap with small free pieces that costs more than the record itself. Each thread keeps a
// few of that size at hand instead. Everything else goes to the heap as before.
#pragma once

#include <cstddef>

namespace remora::tls {

/// What a thread keeps at most, and of what size.
inline constexpr size_t kRecordMemoryKept = 4;
inline constexpr size_t kRecordMemoryBytes = 16'896;

/// From now on, for all threads. Must come before anything else uses OpenSSL: false when it was
/// used, and nothing changes.
bool keep_record_memory();

/// How many pieces the calling thread keeps.
size_t record_memory_kept();

}  // namespace remora::tls
