package io.knitprovider.gateway;

/** The ResourceManager stopped answering before it was known whether it took the application. */
final class SubmissionUncertain extends Exception {

  private static final long serialVersionUID = 1L;

  SubmissionUncertain(Throwable cause) {
    super(cause);
  }
}
