// Text to messages: YAML or JSON to a tree of values, and a tree to a message by proto3's JSON
// mapping, with the path of everything that does not fit. The only place with yaml-cpp; its
// exceptions stop here.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <google/protobuf/message.h>
#include <google/protobuf/struct.pb.h>

#include <string_view>

#include "xds/translate/path.h"
#include "xds/translate/tree.h"
#include "xds/translate/unknown_fields.h"

namespace remora::xds::translate {

enum class Syntax { Yaml, Json };

/// JSON for names that end with ".json", YAML otherwise.
Syntax syntax_of(std::string_view file_name);

/// The text, which must outlive it, as a tree. Refuses duplicate keys, several documents, aliases
/// that blow up, and nesting that no message has. Plain YAML scalars become booleans and integers
/// as Envoy reads them; fractions stay text, which every number field takes.
absl::StatusOr<Tree> parse_tree(std::string_view text, Syntax syntax);

/// The tree as a message: field names in snake_case or lowerCamelCase, `@type` in Any. Unknown
/// fields and enum values go to `sink` and are left out; an Any of an unknown type is kept as a
/// TypedStruct so that whoever compiles it can name the type. Any other misfit is an error that
/// carries its path.
absl::Status to_message(const TreeNode& tree, const Path& path, google::protobuf::Message* out,
                        const UnknownSink& sink);
/// The same for a structure that came in a message.
absl::Status to_message(const google::protobuf::Struct& from, const Path& path,
                        google::protobuf::Message* out, const UnknownSink& sink);

/// Both steps.
absl::Status text_to_message(std::string_view text, Syntax syntax, google::protobuf::Message* out,
                             const UnknownSink& sink);

}  // namespace remora::xds::translate
