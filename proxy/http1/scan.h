// Byte classes of HTTP/1 and the scans over them. Stateless; any thread.
#pragma once

#include <array>
#include <bit>
#include <cstdint>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace remora::http1 {

/// The lower-case form of a token character; 0 for any other byte.
inline constexpr std::array<char, 256> kTokenLower = [] {
  std::array<char, 256> table{};
  for (int c = 'a'; c <= 'z'; ++c) table[c] = static_cast<char>(c);
  for (int c = 'A'; c <= 'Z'; ++c) table[c] = static_cast<char>(c - 'A' + 'a');
  for (int c = '0'; c <= '9'; ++c) table[c] = static_cast<char>(c);
  for (char c : {'!', '#', '$', '%', '&', '\'', '*', '+', '-', '.', '^', '_', '`', '|', '~'}) {
    table[static_cast<uint8_t>(c)] = c;
  }
  return table;
}();

inline char token_lower(char c) { return kTokenLower[static_cast<uint8_t>(c)]; }
inline bool is_blank(char c) { return c == ' ' || c == '\t'; }

/// May stand in a field value: visible, space, tab or obs-text.
inline bool is_value_byte(char c) {
  const auto byte = static_cast<uint8_t>(c);
  return (byte >= 0x20 && byte != 0x7f) || byte == '\t';
}

/// May stand in a request target.
inline bool is_target_byte(char c) { return c > 0x20 && c < 0x7f; }

/// The first byte of [at, end) that cannot stand in a field value, or `end`.
inline const char* find_value_end(const char* at, const char* end) {
#if defined(__SSE2__)
  const __m128i last_control = _mm_set1_epi8(0x1f);
  const __m128i tab = _mm_set1_epi8('\t');
  const __m128i del = _mm_set1_epi8(0x7f);
  for (; end - at >= 16; at += 16) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
    const __m128i control = _mm_cmpeq_epi8(_mm_min_epu8(bytes, last_control), bytes);
    const __m128i stop = _mm_or_si128(_mm_andnot_si128(_mm_cmpeq_epi8(bytes, tab), control),
                                      _mm_cmpeq_epi8(bytes, del));
    const auto mask = static_cast<unsigned>(_mm_movemask_epi8(stop));
    if (mask != 0) return at + std::countr_zero(mask);
  }
#endif
  while (at != end && is_value_byte(*at)) ++at;
  return at;
}

/// The first byte of [at, end) that cannot stand in a request target, or `end`.
inline const char* find_target_end(const char* at, const char* end) {
#if defined(__SSE2__)
  const __m128i before = _mm_set1_epi8(0x20);
  const __m128i behind = _mm_set1_epi8(0x7f);
  for (; end - at >= 16; at += 16) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
    // Signed comparison: bytes from 0x80 on are below `before` too.
    const __m128i inside =
        _mm_and_si128(_mm_cmpgt_epi8(bytes, before), _mm_cmplt_epi8(bytes, behind));
    const auto mask = static_cast<unsigned>(_mm_movemask_epi8(inside)) ^ 0xffffu;
    if (mask != 0) return at + std::countr_zero(mask);
  }
#endif
  while (at != end && is_target_byte(*at)) ++at;
  return at;
}

}  // namespace remora::http1
