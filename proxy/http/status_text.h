// Reason phrases and other fixed words of the protocol. Constant data; any thread.
#pragma once

#include <cstdint>
#include <string_view>

namespace remora::http {

/// "Not Found" for 404; "Unknown" for a code without a phrase.
std::string_view status_text(uint16_t code);

}  // namespace remora::http
