// local_reply_config. Pure functions; main thread.
#pragma once

#include <absl/status/statusor.h>

#include <memory>

#include "api/http_connection_manager.pb.h"
#include "proxy/connection_manager/local_replies.h"
#include "xds/translate/context.h"
#include "xds/translate/path.h"

namespace remora::xds::translate {

absl::StatusOr<std::shared_ptr<const connection_manager::LocalReplies>> local_replies(
    const envoy::extensions::filters::network::http_connection_manager::v3::LocalReplyConfig& from,
    Context& context, const Path& path);

}  // namespace remora::xds::translate
