package io.knitprovider.am.state;

/** A key of the store was to be changed only in one version, and has another. */
public final class VersionConflict extends RuntimeException {

  private static final long serialVersionUID = 1;

  public VersionConflict(String message) {
    super(message);
  }
}
