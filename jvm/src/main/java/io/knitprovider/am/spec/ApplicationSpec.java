package io.knitprovider.am.spec;

import java.util.List;
import java.util.Map;

/** Everything that the submission told the ApplicationMaster; nothing more comes from Python. */
public final class ApplicationSpec {

  public final String applicationId;

  /** Random, of this one submission: tells our own ledger from that of a namesake. */
  public final String submissionId;

  public final String name;
  public final String user;

  /** Whether the cluster has Kerberos; without it, containers are told the user by a variable. */
  public final boolean secure;

  public final String stagingDir;
  public final String ledgerFile;
  public final int maxAttempts;

  /** Whether the application ends when nobody renews its lease. */
  public final boolean bound;

  public final int leaseSeconds;

  /**
   * How long the application may live where its submission could not tell YARN so; 0 where it did.
   */
  public final long lifetimeSeconds;

  /** Lowest and highest control port, both included; 0 and 0 for any free one. */
  public final int lowPort;

  public final int highPort;

  /** Settings for the case that the node's own configuration lacks them. */
  public final Map<String, String> hadoopConf;

  public final String viewAcl;
  public final String modifyAcl;

  /** Link name of a script that runs beside the ApplicationMaster, or null. */
  public final String masterScript;

  /** Where the tokens come from that replace those of the submission; null where they suffice. */
  public final KeytabSpec keytab;

  public final List<ServiceSpec> services;

  ApplicationSpec(Builder from) {
    this.applicationId = from.applicationId;
    this.submissionId = from.submissionId;
    this.name = from.name;
    this.user = from.user;
    this.secure = from.secure;
    this.stagingDir = from.stagingDir;
    this.ledgerFile = from.ledgerFile;
    this.maxAttempts = from.maxAttempts;
    this.bound = from.bound;
    this.leaseSeconds = from.leaseSeconds;
    this.lifetimeSeconds = from.lifetimeSeconds;
    this.lowPort = from.lowPort;
    this.highPort = from.highPort;
    this.hadoopConf = from.hadoopConf;
    this.viewAcl = from.viewAcl;
    this.modifyAcl = from.modifyAcl;
    this.masterScript = from.masterScript;
    this.keytab = from.keytab;
    this.services = from.services;
  }

  /** The fields on their way from JSON into a specification. */
  static final class Builder {
    String applicationId;
    String submissionId;
    String name;
    String user;
    boolean secure;
    String stagingDir;
    String ledgerFile;
    int maxAttempts;
    boolean bound;
    int leaseSeconds;
    long lifetimeSeconds;
    int lowPort;
    int highPort;
    Map<String, String> hadoopConf;
    String viewAcl;
    String modifyAcl;
    String masterScript;
    KeytabSpec keytab;
    List<ServiceSpec> services;
  }
}
