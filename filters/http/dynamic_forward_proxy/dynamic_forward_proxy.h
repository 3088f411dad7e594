// Holds a request to a dynamic forward proxy's cluster until the host that it names has been looked
// up, and answers 503 when that fails. Owned by the stream; its worker's thread.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "proxy/http/filter.h"
#include "proxy/upstream/dns_cache.h"

namespace remora::dynamic_forward_proxy {

struct Settings {
  std::shared_ptr<upstream::DnsCache> cache;
  std::string filter_name;
};

/// What a route says: the host to look up and ask instead of the request's. At most one is set.
struct RouteSettings {
  std::string host;
  std::string header;  // that has it
};

class DynamicForwardProxy final : public http::Filter, private upstream::DnsCache::Waiter {
 public:
  DynamicForwardProxy(http::FilterStream& stream, const Settings& settings)
      : stream_(stream), settings_(settings) {}

  http::FilterStatus on_request_headers(http::HeaderMap& headers, bool end_stream) override;
  void on_destroy() override { cancel(); }

 private:
  void on_name(const upstream::ResolvedNamePtr& name) override;
  void rewrite_host(http::HeaderMap& headers);
  http::FilterStatus judge(const upstream::ResolvedNamePtr& name);
  http::FilterStatus fail(std::string_view reason);

  http::FilterStream& stream_;
  const Settings& settings_;
};

}  // namespace remora::dynamic_forward_proxy
