// Numbers, bytes and durations from the text that proto3's JSON mapping has for them. Pure
// functions; any thread.
#pragma once

#include <google/protobuf/duration.pb.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace remora::xds::translate {

/// A whole number, which may be written as one with fraction and exponent ("1e3", "5.0"). Nothing
/// for what T cannot hold. T: int32_t, uint32_t, int64_t, uint64_t.
template <class T>
std::optional<T> to_whole(std::string_view text);

/// Nothing for what is beyond the type's range. Knows "NaN", "Infinity" and "-Infinity".
std::optional<double> to_double(std::string_view text);
std::optional<float> to_float(std::string_view text);

/// Base64 of either alphabet, with or without padding.
std::optional<std::string> from_base64(std::string_view text);

/// "-1.5s": seconds with at most nine digits of a fraction, within the range that messages have.
bool to_duration(std::string_view text, google::protobuf::Duration* out);

}  // namespace remora::xds::translate
