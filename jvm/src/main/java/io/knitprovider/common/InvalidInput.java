package io.knitprovider.common;

/** A field, a file or a value that the caller gave cannot be used; the message names it. */
public final class InvalidInput extends RuntimeException {

  private static final long serialVersionUID = 1L;

  public InvalidInput(String message) {
    super(message);
  }

  public InvalidInput(String message, Throwable cause) {
    super(message, cause);
  }
}
