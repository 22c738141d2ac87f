package io.knitprovider.am.state;

import io.knitprovider.am.spec.Resources;
import io.knitprovider.am.spec.ServiceSpec;

/** Equal containers of one service, asked for together and told apart from all others by an id. */
public final class AskGroup {

  /** YARN's allocation request id: comes back with every container that answers this ask. */
  public final long id;

  public final ServiceSpec service;
  public final Resources resources;

  AskGroup(long id, ServiceSpec service, Resources resources) {
    this.id = id;
    this.service = service;
    this.resources = resources;
  }
}
