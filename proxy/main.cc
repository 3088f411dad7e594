// Entry point: flags, signals, the registries of filters, then the server. Nothing registers
// itself.
#include <cstdio>
#include <string>
#include <vector>

#include "filters/http/registry.h"
#include "filters/listener/registry.h"
#include "filters/network/registry.h"
#include "proxy/server/options.h"
#include "proxy/server/server.h"
#include "proxy/server/signals.h"
#include "proxy/tls/record_memory.h"

int main(int argc, char** argv) {
  using namespace remora;
  tls::keep_record_memory();
  auto options = server::parse_options(std::vector<std::string>(argv + 1, argv + argc));
  if (!options.ok()) {
    std::fprintf(stderr, "remora: %s\n", std::string(options.status().message()).c_str());
    return 1;
  }
  if (options->show_help) {
    std::fputs(server::help_text().c_str(), stdout);
    return 0;
  }
  if (options->show_version) {
    std::printf("\nremora  %s\n", server::version_text().c_str());
    return 0;
  }

  FilterRegistries registries;
  register_http_filters(registries.http);
  register_network_filters(registries.network);
  register_listener_filters(registries.listener);

  server::block_signals();
  auto server = server::Server::create(*options, registries);
  if (!server.ok()) {
    std::fprintf(stderr, "remora: error initializing configuration: %s\n",
                 std::string(server.status().message()).c_str());
    return 1;
  }
  return (*server)->run();
}
