// Hosts by original destination: see the header.
#include "proxy/upstream/original_dst.h"

#include <charconv>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace remora::upstream {

Address parse_ip_port(std::string_view text) {
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return {};
  std::string_view ip = text.substr(0, colon);
  const std::string_view digits = text.substr(colon + 1);
  const bool bracketed = ip.size() > 2 && ip.front() == '[' && ip.back() == ']';
  if (bracketed) ip = ip.substr(1, ip.size() - 2);
  if (!bracketed && ip.find(':') != std::string_view::npos) return {};
  uint16_t port = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (error != std::errc() || end != digits.data() + digits.size()) return {};
  auto address = Address::from_ip(ip, port);
  return address.ok() ? *std::move(address) : Address();
}

std::string_view destination_in(const std::vector<std::string>& key,
                                std::initializer_list<const Metadata*> places) {
  const std::span<const std::string> path(key.begin() + 1, key.end());
  for (const Metadata* place : places) {
    const MetadataValue* value = place->find(key.front(), path);
    if (value == nullptr) continue;
    const MetadataList* list = value->list();
    if (list != nullptr && !list->empty()) value = &list->front();
    if (const std::string* text = value->text()) return *text;
  }
  return {};
}

OriginalDst::OriginalDst(std::shared_ptr<const ClusterConfig> config, WorkerContext& worker,
                         Events events)
    : config_(std::move(config)),
      events_(std::move(events)),
      sweep_timer_(worker.timers(), Timer::bind<&OriginalDst::sweep, OriginalDst>(), this) {}

void OriginalDst::set_config(std::shared_ptr<const ClusterConfig> config) {
  config_ = std::move(config);
  if (sweep_timer_.armed()) sweep_timer_.arm(config_->cleanup_interval_ms);
}

/// None: there is no `text`, or it is no address.
Address OriginalDst::parse_override(std::string_view text) const {
  if (text.data() == nullptr) return {};
  Address address = parse_ip_port(text);
  if (!address) events_.on_invalid_destination();
  return address;
}

HostPtr OriginalDst::pick(const PickContext& context) {
  // What makes no sense is counted, and the next place asked.
  Address parsed = parse_override(context.override_host_metadata);
  if (!parsed && config_->original_dst_use_http_header) {
    parsed = parse_override(context.override_host_header);
  }
  const Address* destination = parsed ? &parsed : context.original_destination;
  if (destination == nullptr || !destination->is_ip()) return nullptr;
  if (config_->original_dst_port_override) {
    parsed = destination->with_port(*config_->original_dst_port_override);
    destination = &parsed;
  }
  return host_at(*destination);
}

HostPtr OriginalDst::host_at(const Address& destination) {
  if (auto found = hosts_.find(destination); found != hosts_.end()) {
    found->second.used = true;
    return found->second.host;
  }
  if (events_.is_own_address && events_.is_own_address(destination)) return nullptr;
  EndpointConfig endpoint;
  endpoint.address = destination;
  auto host =
      std::make_shared<const Host>(std::make_shared<const EndpointConfig>(std::move(endpoint)),
                                   nullptr, 0, config_->transport_for({}));
  hosts_.emplace(destination, Entry{host});
  if (!sweep_timer_.armed()) sweep_timer_.arm(config_->cleanup_interval_ms);
  return host;
}

bool OriginalDst::knows(const Host& host) const {
  auto found = hosts_.find(host.address());
  return found != hosts_.end() && found->second.host.get() == &host;
}

void OriginalDst::sweep() {
  std::vector<HostPtr> forgotten;
  absl::erase_if(hosts_, [&forgotten](auto& item) {
    Entry& entry = item.second;
    const bool connected = entry.host->counters.cx_active.load(std::memory_order_relaxed) > 0;
    if (std::exchange(entry.used, false) || connected) return false;
    forgotten.push_back(entry.host);
    return true;
  });
  if (!hosts_.empty()) sweep_timer_.arm(config_->cleanup_interval_ms);
  for (const HostPtr& host : forgotten) events_.on_forgotten(host);
}

}  // namespace remora::upstream
