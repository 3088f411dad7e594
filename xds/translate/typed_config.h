// Extensions' configurations: a message inside an Any, or a structure inside a TypedStruct inside
// an Any. The extension is known by its type URL, never by its name. Pure functions; any thread.
#pragma once

#include <absl/status/statusor.h>
#include <google/protobuf/any.pb.h>
#include <google/protobuf/message.h>

#include <memory>
#include <string>
#include <string_view>

#include "xds/translate/path.h"
#include "xds/translate/unknown_fields.h"

namespace remora::xds::translate {

/// The part of a type URL behind its last '/', the full name of a message.
std::string_view type_name_of(std::string_view type_url);

struct TypedConfig {
  std::string type;                                    // full name of the (inner) message
  std::unique_ptr<google::protobuf::Message> message;  // null: this binary has no such message
};

/// Unpacks `any`, through TypedStruct of either package. Fields of a TypedStruct that its message
/// does not have are reported to `sink` and left out. Refuses bytes and structures that are not the
/// message.
absl::StatusOr<TypedConfig> unpack(const google::protobuf::Any& any, const Path& path,
                                   const UnknownSink& sink);

/// The same without the message's content being looked at more than necessary: its type, and its
/// bytes.
struct TypedBytes {
  std::string type;
  std::string bytes;
};
absl::StatusOr<TypedBytes> unwrap(const google::protobuf::Any& any, const Path& path);

/// Unpacks a message of one certain type.
template <class T>
absl::StatusOr<T> unpack_as(const google::protobuf::Any& any, const Path& path) {
  auto inner = unwrap(any, path);
  if (!inner.ok()) return inner.status();
  T message;
  if (inner->type != T::descriptor()->full_name() || !message.ParseFromString(inner->bytes)) {
    return path.error("is not a " + T::descriptor()->full_name());
  }
  return message;
}

}  // namespace remora::xds::translate
