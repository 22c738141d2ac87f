package io.knitprovider.gateway;

import org.apache.hadoop.yarn.exceptions.YarnException;

/** The ResourceManager's own words about an application that it does not take. */
final class SubmissionRejected extends YarnException {

  private static final long serialVersionUID = 1L;

  SubmissionRejected(String diagnostics) {
    super(diagnostics);
  }
}
