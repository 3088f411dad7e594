// Which admin endpoints there are and what each is bound to. Main thread only.
#pragma once

#include "proxy/server/admin/admin.h"

namespace remora::server {

class Server;

class AdminEndpoints {
 public:
  static void add(Server& server, Admin& admin);

 private:
  static void add_views(Server& server, Admin& admin);
  static void add_stats(Server& server, Admin& admin);
  static void add_changes(Server& server, Admin& admin);
};

}  // namespace remora::server
