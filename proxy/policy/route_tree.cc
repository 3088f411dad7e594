#include "proxy/policy/route_tree.h"

#include <memory>
#include <utility>

#include "proxy/http/stream_info.h"

namespace remora::policy {

router::RouteTree route_tree(MatchTree::Node root, std::vector<router::RouteRange> ranges) {
  return
      [root = std::make_shared<const MatchTree::Node>(std::move(root)), ranges = std::move(ranges)](
          const http::HeaderMap& request, const http::StreamInfo& info) -> router::RouteRange {
        if (info.connection == nullptr) return {};
        const Facts facts = {*info.connection, info.remote, info.dynamic_metadata, &request,
                             &info.filter_state};
        const auto leaf = find_leaf(*root, facts);
        return leaf ? ranges[*leaf] : router::RouteRange();
      };
}

}  // namespace remora::policy
