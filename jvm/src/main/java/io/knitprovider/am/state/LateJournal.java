package io.knitprovider.am.state;

/** A change was made and is not safe yet: a later attempt may not know of it. */
public final class LateJournal extends RuntimeException {

  private static final long serialVersionUID = 1;

  public LateJournal(String message) {
    super(message);
  }
}
