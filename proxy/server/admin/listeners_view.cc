#include "proxy/server/admin/listeners_view.h"

#include "api/admin.pb.h"
#include "proxy/server/admin/endpoints_message.h"
#include "proxy/server/admin/json.h"

namespace remora::server {

AdminResponse listeners_view(const ListenerManager& listeners, const AdminRequest& request) {
  envoy::admin::v3::Listeners message;
  std::string text;
  for (const auto& [name, listener] : listeners.active()) {
    auto* status = message.add_listener_statuses();
    status->set_name(name);
    for (size_t i = 0; i < listener->bound.size(); ++i) {
      text += name + "::" + listener->bound[i].to_string() + "\n";
      to_message(listener->bound[i], i == 0 ? status->mutable_local_address()
                                            : status->add_additional_local_addresses());
    }
  }
  if (request.get("format") == "json") return AdminResponse::json(to_json(message));
  return AdminResponse::text(std::move(text));
}

}  // namespace remora::server
