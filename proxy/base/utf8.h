// UTF-8 as RFC 3629 has it: no overlong forms, no surrogates, nothing beyond U+10FFFF. Pure
// functions; any thread.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace remora {

/// Length of the character at the start of `text`; 0 when there is none.
size_t utf8_length(std::string_view text);

/// `text` with "!" in place of each byte that is not part of a character, as Envoy does it.
std::string sanitized_utf8(std::string_view text);

}  // namespace remora
