// control_plane: a small xDS server for demonstrations and tests. The main thread watches the
// catalogue and signals; gRPC's own threads serve the sidecars.
#include <grpcpp/grpcpp.h>
#include <poll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "spdlog/sinks/stdout_sinks.h"
#include "spdlog/spdlog.h"
#include "tools/control_plane/ads_service.h"
#include "tools/control_plane/catalogue.h"
#include "tools/control_plane/credentials.h"
#include "tools/control_plane/folder_watch.h"

namespace remora::control_plane {
namespace {

constexpr const char* kUsage =
    "Usage: control_plane --catalogue FOLDER [--listen ADDRESS] [--identity FOLDER] [--ipv6]\n"
    "\n"
    "Serves xDS (ADS, state of the world and delta) from a folder of YAML files, and follows its\n"
    "changes. See tools/control_plane/README.md for the files.\n"
    "\n"
    "  --catalogue FOLDER  one *.yaml file a service\n"
    "  --listen ADDRESS    IP:PORT, or unix:PATH (127.0.0.1:15010)\n"
    "  --identity FOLDER   tls.crt, tls.key and ca.crt: mutual TLS; plain text without\n"
    "  --ipv6              sidecars accept on [::] too\n";

constexpr std::chrono::seconds kShutdownGrace{1};

struct Options {
  std::string catalogue;
  std::string listen = "127.0.0.1:15010";
  std::string identity;
  ViewOptions view;
};

[[noreturn]] void exit_with_usage(const std::string& complaint) {
  std::fprintf(stderr, "control_plane: %s\n\n%s", complaint.c_str(), kUsage);
  std::exit(2);
}

// Where the value of a flag goes; null when there is no such flag.
std::string* value_of(std::string_view flag, Options& options) {
  if (flag == "--catalogue") return &options.catalogue;
  if (flag == "--listen") return &options.listen;
  if (flag == "--identity") return &options.identity;
  return nullptr;
}

Options parse_options(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string_view flag = argv[i];
    if (flag == "--help" || flag == "-h") {
      std::fputs(kUsage, stdout);
      std::exit(0);
    }
    if (flag == "--ipv6") {
      options.view.ipv6 = true;
      continue;
    }
    std::string* value = value_of(flag, options);
    if (value == nullptr) exit_with_usage("unknown flag " + std::string(flag));
    if (++i == argc) exit_with_usage(std::string(flag) + ": its value is missing");
    *value = argv[i];
    if (value->empty()) exit_with_usage(std::string(flag) + ": its value is empty");
  }
  if (options.catalogue.empty()) exit_with_usage("--catalogue is missing");
  return options;
}

// SIGTERM and SIGINT come as bytes on a descriptor; blocked in every thread started from here.
int signal_fd() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  return signalfd(-1, &signals, SFD_CLOEXEC);
}

std::shared_ptr<const Catalogue> read_catalogue(CatalogueFolder& folder) {
  CatalogueFolder::Reading reading = folder.read();
  for (const std::string& complaint : reading.complaints) spdlog::error("{}", complaint);
  size_t workloads = 0;
  for (const auto& [name, service] : reading.catalogue->services) {
    workloads += service.workloads.size();
  }
  spdlog::info("catalogue: {} services, {} workloads", reading.catalogue->services.size(),
               workloads);
  return reading.catalogue;
}

int serve(const Options& options) {
  const int signals = signal_fd();
  auto watch = FolderWatch::open(options.catalogue);
  if (!watch.ok()) {
    spdlog::error("{}", std::string(watch.status().message()));
    return 1;
  }
  CatalogueFolder folder(options.catalogue);
  AdsService service(read_catalogue(folder), options.view);

  int port = 0;
  grpc::ServerBuilder builder;
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.AddListeningPort(options.listen, server_credentials(options.identity), &port);
  builder.RegisterService(&service);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (server == nullptr || port == 0) {
    spdlog::error("can't listen on {}", options.listen);
    return 1;
  }
  spdlog::info("listening on {} (port {})", options.listen, port);

  for (;;) {
    pollfd wanted[] = {{.fd = signals, .events = POLLIN, .revents = 0},
                       {.fd = watch->fd(), .events = POLLIN, .revents = 0}};
    if (::poll(wanted, 2, -1) < 0) continue;
    if (wanted[0].revents != 0) break;
    watch->clear();
    service.publish(read_catalogue(folder));
  }
  spdlog::info("stopping");
  server->Shutdown(std::chrono::system_clock::now() + kShutdownGrace);
  ::close(signals);
  return 0;
}

}  // namespace
}  // namespace remora::control_plane

int main(int argc, char** argv) {
  spdlog::set_default_logger(spdlog::stderr_logger_mt("control_plane"));
  spdlog::set_pattern("%Y-%m-%dT%H:%M:%S.%e %l %v");
  spdlog::flush_on(spdlog::level::info);
  return remora::control_plane::serve(remora::control_plane::parse_options(argc, argv));
}
