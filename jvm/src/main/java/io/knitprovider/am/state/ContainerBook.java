package io.knitprovider.am.state;

import java.util.ArrayList;
import java.util.Collection;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Every container the application has had, as far as memory allows: a program that fails at once
 * and is restarted for a week leaves more of them than anybody wants to read.
 */
final class ContainerBook {

  /** So many are kept; beyond it, the oldest that have ended go. */
  static final int MOST = 20_000;

  /** Diagnostics of one container, in characters, while there are few. */
  private static final int MOST_DIAGNOSTICS = 4_000;

  /** The same once there are many. */
  private static final int FEW_DIAGNOSTICS = 200;

  /** Characters that all diagnostics together may take before they are shortened. */
  private static final long DIAGNOSTICS_BUDGET = 2_000_000L;

  private final Map<String, ContainerRecord> records = new LinkedHashMap<>();
  private long diagnosticsKept;

  ContainerRecord get(String id) {
    return records.get(id);
  }

  void put(ContainerRecord record) {
    records.put(record.id, record);
    if (records.size() > MOST) {
      dropOneEnded();
    }
  }

  Collection<ContainerRecord> all() {
    return records.values();
  }

  List<ContainerRecord> active() {
    List<ContainerRecord> active = new ArrayList<>();
    for (ContainerRecord record : records.values()) {
      if (record.isActive()) {
        active.add(record);
      }
    }
    return active;
  }

  void keepDiagnostics(ContainerRecord record, String diagnostics) {
    int limit = diagnosticsKept < DIAGNOSTICS_BUDGET ? MOST_DIAGNOSTICS : FEW_DIAGNOSTICS;
    record.diagnostics = Diagnostics.lastChars(diagnostics.trim(), limit);
    diagnosticsKept += record.diagnostics.length();
  }

  private void dropOneEnded() {
    for (Iterator<ContainerRecord> each = records.values().iterator(); each.hasNext(); ) {
      if (!each.next().isActive()) {
        each.remove();
        return;
      }
    }
  }
}
