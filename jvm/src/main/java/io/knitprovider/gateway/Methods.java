package io.knitprovider.gateway;

import io.knitprovider.common.InvalidInput;
import java.util.LinkedHashMap;
import java.util.Map;

/** Everything that Python can ask for, by name. */
final class Methods {

  private static final Map<String, Entry> TABLE = new LinkedHashMap<>();

  static {
    put("hello", Peer.FILESYSTEM, FileSystems::hello);
    put("new_application", Peer.RESOURCE_MANAGER, Applications::create);
    put("tokens", Peer.FILESYSTEM, CredentialsForAm::tokens);
    put("submit", Peer.RESOURCE_MANAGER, Submit::run);
    put("report", Peer.RESOURCE_MANAGER, Applications::report);
    put("kill", Peer.RESOURCE_MANAGER, Applications::kill);
    put("fs.home", Peer.FILESYSTEM, FileSystems::home);
    put("fs.status", Peer.FILESYSTEM, FileSystems::status);
    put("fs.list", Peer.FILESYSTEM, FileSystems::list);
    put("fs.delete", Peer.FILESYSTEM, FileSystems::delete);
    put("fs.mkdirs", Peer.FILESYSTEM, FileSystems::mkdirs);
    put("fs.rename", Peer.FILESYSTEM, FileSystems::rename);
    put("fs.touch", Peer.FILESYSTEM, FileSystems::touch);
    put("fs.free", Peer.FILESYSTEM, FileSystems::free);
    put("fs.read", Peer.FILESYSTEM, FileContents::read);
    put("fs.get", Peer.FILESYSTEM, FileContents::get);
    put("fs.write_many", Peer.FILESYSTEM, FileContents::writeMany);
    put("fs.put", Peer.FILESYSTEM, Upload::run);
    put("logs.containers", Peer.LOG_STORE, AggregatedLogs::containers);
    put("logs.read", Peer.LOG_STORE, AggregatedLogs::read);
  }

  private Methods() {}

  static Entry find(String name) {
    Entry entry = TABLE.get(name);
    if (entry == null) {
      throw new InvalidInput(
          "the gateway has no method " + name + "; it has " + String.join(", ", TABLE.keySet()));
    }
    return entry;
  }

  private static void put(String name, Peer peer, Method method) {
    TABLE.put(name, new Entry(peer, method));
  }

  static final class Entry {
    final Peer peer;
    final Method method;

    private Entry(Peer peer, Method method) {
      this.peer = peer;
      this.method = method;
    }
  }
}
