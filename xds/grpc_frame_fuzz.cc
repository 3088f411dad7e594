// Framing and messages of a control plane that may send anything, in pieces of any size; the first
// byte is the step.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "api/discovery.pb.h"
#include "xds/grpc_frame.h"
#include "xds/mux.h"

namespace {

struct Consumer final : remora::xds::ResourceConsumer {
  std::vector<remora::xds::Reject> on_resources(const remora::xds::Update& update) override {
    for (const auto& resource : update.added) {
      if (resource->name.empty()) abort();
    }
    return {};
  }
  void on_initial_fetch_timeout() override {}
};

struct Owner final : remora::xds::MuxOwner {
  void on_request_due() override {}
};

template <class Response>
void run(remora::xds::Mux& mux, std::string_view rest, size_t step) {
  using remora::xds::GrpcDecoder;
  remora::BlockPool pool;
  remora::Buffer input(pool);
  GrpcDecoder decoder(1 << 20);
  while (!rest.empty()) {
    input.append(rest.substr(0, step));
    rest.remove_prefix(std::min(step, rest.size()));
    for (;;) {
      const auto next = decoder.next(input);
      if (next == GrpcDecoder::Next::NeedMore) break;
      if (next != GrpcDecoder::Next::Message) return;
      const size_t before = input.size();
      Response response;
      const bool parsed = decoder.parse(input, &response);
      if (before - input.size() != decoder.message_bytes()) abort();
      if (parsed) mux.on_response(std::move(response));
      while (mux.next_request() != nullptr) {
      }
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace remora::xds;
  if (size < 2) return 0;
  const Variant variant = data[0] & 1 ? Variant::Delta : Variant::StateOfTheWorld;
  const size_t step = data[0] >> 1 == 0 ? size : data[0] >> 1;
  const std::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  remora::TurnTime time;
  remora::TimerWheel wheel(time);
  Owner owner;
  Mux mux(variant, {}, Mux::NodeIn::FirstRequest, wheel, owner);
  Consumer consumer;
  SubscribeOptions all, some;
  all.type_url = kClusterType;
  all.wildcard = true;
  some.type_url = kEndpointType;
  some.names = {"a", "b"};
  auto clusters = mux.subscribe(all, consumer);
  auto endpoints = mux.subscribe(some, consumer);
  mux.stream_started();
  if (variant == Variant::Delta) {
    run<DeltaState::Response>(mux, rest, step);
  } else {
    run<SotwState::Response>(mux, rest, step);
  }
  return 0;
}
