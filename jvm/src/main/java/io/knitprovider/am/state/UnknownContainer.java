package io.knitprovider.am.state;

/** Somebody named a container that the application never had. */
public final class UnknownContainer extends RuntimeException {

  private static final long serialVersionUID = 1L;

  public UnknownContainer(String message) {
    super(message);
  }
}
