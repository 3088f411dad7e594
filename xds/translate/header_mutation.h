// Header edits whose values may have operators. Pure functions; main thread.
#pragma once

#include <absl/status/statusor.h>
#include <google/protobuf/repeated_ptr_field.h>

#include <string_view>
#include <vector>

#include "api/core.pb.h"
#include "api/mutation_rules.pb.h"
#include "proxy/connection_manager/header_mutation.h"
#include "xds/translate/context.h"
#include "xds/translate/path.h"

namespace remora::xds::translate {

using HeaderMutations = std::vector<connection_manager::HeaderMutation>;

/// `name` is the repeated field's, below `path`.
absl::StatusOr<HeaderMutations> headers_to_add(
    const google::protobuf::RepeatedPtrField<envoy::config::core::v3::HeaderValueOption>& protos,
    std::string_view name, const Path& path);

/// Edits in the order in which they are made.
absl::StatusOr<HeaderMutations> header_mutations(
    const google::protobuf::RepeatedPtrField<
        envoy::config::common::mutation_rules::v3::HeaderMutation>& protos,
    std::string_view name, Context& context, const Path& path);

/// early_header_mutation_extensions.
absl::StatusOr<HeaderMutations> early_header_mutations(
    const google::protobuf::RepeatedPtrField<envoy::config::core::v3::TypedExtensionConfig>& protos,
    Context& context, const Path& path);

}  // namespace remora::xds::translate
