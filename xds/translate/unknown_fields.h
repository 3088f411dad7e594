// Finds what a configuration says and the API subset does not define: unknown fields, enum values
// and, inside Any and TypedStruct, the same again. Pure functions; any thread.
#pragma once

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <functional>
#include <string>
#include <string_view>

#include "xds/translate/path.h"

namespace remora::xds::translate {

/// One thing that is said and not understood.
struct Unknown {
  std::string
      path;  // an unknown field of a binary message is named by its number: "clusters[0].19"
  std::string what;       // "unknown field", "unknown enum value 7"
  bool decisive = false;  // inside what decides who may talk or where traffic goes
};

using UnknownSink = std::function<void(Unknown)>;

/// Reports everything unknown inside `message`, which sits at `path`.
void find_unknown(const google::protobuf::Message& message, const Path& path,
                  const UnknownSink& sink);

/// Whether an unknown field directly inside a message of this type is decisive. `field` is its name
/// or its number as text.
bool decisive_field(const google::protobuf::Descriptor& type, std::string_view field);

/// Whether everything below a message of this type is decisive.
bool decisive_message(const google::protobuf::Descriptor& type);

}  // namespace remora::xds::translate
