package io.knitprovider.am.state;

import io.knitprovider.am.spec.Resources;

/** One wanted copy of a service. It keeps its index through all the containers it has had. */
final class Instance {

  /** Where the instance is. */
  enum State {
    /** For the services that its own depends on. */
    WAITING,
    /** For a container. */
    WANTED,
    STARTING,
    RUNNING,
    /** An earlier attempt launched it, and nobody has said yet what became of it. */
    UNCERTAIN,
    SUCCEEDED,
    FAILED,
    REMOVED;

    /** Whether a container may still come or go. */
    boolean isOpen() {
      return this != SUCCEEDED && this != FAILED && this != REMOVED;
    }
  }

  final int index;

  /** What its container asks for. */
  final Resources resources;

  State state;

  /** Whether any container of it was confirmed to run, or ended well. */
  boolean hasRun;

  /** Id of its present or last container, or null. */
  String container;

  /** Containers in a row that failed within a few seconds. */
  int quickFailures;

  /** Containers in a row that could not be launched, through no fault of the program. */
  int launchFailures;

  /** No container is asked for before this time on the monotonic clock. */
  long notBefore;

  Instance(int index, Resources resources, State state) {
    this.index = index;
    this.resources = resources;
    this.state = state;
  }

  boolean isActive() {
    return state.isOpen();
  }
}
