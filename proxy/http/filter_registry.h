// The HTTP filters that this binary knows, by the full name of their configuration message; and all
// three kinds of filters together. Filled once by main() through the generated register_*_filters()
// functions, then only read. Main thread. CONTRACT (additive).
#pragma once

#include <absl/status/statusor.h>

#include <memory>
#include <string_view>

#include "proxy/base/string_map.h"
#include "proxy/http/filter.h"
#include "proxy/net/filter_registry.h"

namespace remora::http {

struct FilterRegistration {
  using Make = absl::StatusOr<std::shared_ptr<const FilterFactory>> (*)(
      std::string_view bytes, const FactoryContext& context);
  /// Compiles an entry of typed_per_filter_config; the filter gets it from
  /// FilterStream::route_config_of().
  using MakeRouteConfig = absl::StatusOr<std::shared_ptr<const void>> (*)(
      std::string_view bytes, const FactoryContext& context);

  std::string_view type;  // full message name; static memory
  Make make = nullptr;
  std::string_view route_type =
      {};  // full name of the per-route message; empty: the filter takes none
  MakeRouteConfig make_route_config = nullptr;
};

class FilterRegistry : public Registry<FilterRegistration> {
 public:
  void add(const FilterRegistration& entry) {
    Registry::add(entry);
    if (!entry.route_type.empty())
      by_route_type_.insert_or_assign(std::string(entry.route_type), entry);
  }
  /// The filter whose per-route message is `route_type`; null: unknown.
  const FilterRegistration* find_by_route_type(std::string_view route_type) const {
    auto at = by_route_type_.find(route_type);
    return at == by_route_type_.end() ? nullptr : &at->second;
  }

 private:
  StringMap<FilterRegistration> by_route_type_;
};

}  // namespace remora::http

namespace remora {

struct FilterRegistries {
  http::FilterRegistry http;
  NetworkFilterRegistry network;
  ListenerFilterRegistry listener;
};

}  // namespace remora
