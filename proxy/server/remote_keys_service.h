// Fetches key sets for JWT providers over the main thread's clusters, keeps them fresh, and tells
// the workers. Owned by the Server; main thread only, but for ask(). It keeps no configuration
// alive: what nobody uses is forgotten.
#pragma once

#include <list>
#include <memory>
#include <string>
#include <string_view>

#include "proxy/event/mailbox.h"
#include "proxy/server/publisher.h"
#include "proxy/upstream/http_fetch.h"
#include "proxy/upstream/remote_keys.h"

namespace remora::server {

class RemoteKeysService final : public upstream::RemoteKeysSource,
                                private upstream::RemoteKeysFetcher {
 public:
  RemoteKeysService(WorkerContext& context, Publisher& publisher);
  ~RemoteKeysService();

  std::shared_ptr<upstream::RemoteKeys> open(const upstream::RemoteKeysConfig& config,
                                             std::string_view owner, Observer observer) override;
  size_t size() const { return entries_.size(); }

 private:
  class Entry;

  void ask(std::weak_ptr<upstream::RemoteKeys> keys) override;
  static void on_asked(void* self, std::weak_ptr<upstream::RemoteKeys>&& keys);
  void forget_unused();

  WorkerContext& context_;
  Publisher& publisher_;
  std::list<std::unique_ptr<Entry>> entries_;
  Mailbox<std::weak_ptr<upstream::RemoteKeys>> asked_;
};

}  // namespace remora::server
