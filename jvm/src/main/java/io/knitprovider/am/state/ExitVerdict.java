package io.knitprovider.am.state;

/**
 * What a container's exit status means: whether the program failed or YARN took the container away,
 * and whether its node is to be distrusted. The numbers are those of YARN's {@code
 * ContainerExitStatus}, of which older versions lack some.
 */
public final class ExitVerdict {

  /** What happened to the container. */
  public enum Kind {
    SUCCEEDED,
    /** Counts against the service's restarts. */
    FAILED,
    /** The node or its disks went away, or YARN ended it: replaced without counting. */
    LOST,
    /** Taken for somebody with a better claim: replaced without counting. */
    PREEMPTED
  }

  /** What the exit says about the node. */
  public enum Blame {
    NONE,
    /** Programs fail for reasons of their own, so only a second one counts. */
    WHEN_REPEATED,
    AT_ONCE
  }

  static final int SUCCESS = 0;
  static final int INVALID = -1000;
  static final int ABORTED = -100;
  static final int DISKS_FAILED = -101;
  static final int PREEMPTED = -102;
  static final int EXCEEDED_VIRTUAL_MEMORY = -103;
  static final int EXCEEDED_PHYSICAL_MEMORY = -104;
  static final int KILLED_BY_AM = -105;
  static final int KILLED_BY_RM = -106;
  static final int KILLED_AFTER_APPLICATION = -107;
  static final int KILLED_BY_CONTAINER_SCHEDULER = -108;
  static final int EXCESS_LOGS = -109;
  static final int SIGKILLED = 137;
  static final int SIGTERMED = 143;

  public final Kind kind;
  public final Blame blame;

  private ExitVerdict(Kind kind, Blame blame) {
    this.kind = kind;
    this.blame = blame;
  }

  public static ExitVerdict of(int status) {
    switch (status) {
      case SUCCESS:
        return new ExitVerdict(Kind.SUCCEEDED, Blame.NONE);
      case ABORTED:
      case KILLED_BY_AM:
      case KILLED_BY_RM:
      case KILLED_AFTER_APPLICATION:
        return new ExitVerdict(Kind.LOST, Blame.NONE);
      case DISKS_FAILED:
        return new ExitVerdict(Kind.LOST, Blame.AT_ONCE);
      case PREEMPTED:
      case KILLED_BY_CONTAINER_SCHEDULER:
        return new ExitVerdict(Kind.PREEMPTED, Blame.NONE);
      case EXCEEDED_VIRTUAL_MEMORY:
      case EXCEEDED_PHYSICAL_MEMORY:
      case EXCESS_LOGS:
        return new ExitVerdict(Kind.FAILED, Blame.NONE);
      case INVALID:
        return new ExitVerdict(Kind.FAILED, Blame.AT_ONCE);
      default:
        return new ExitVerdict(Kind.FAILED, Blame.WHEN_REPEATED);
    }
  }

  /**
   * Whether YARN ended the container because the attempt that had started it ended. It may have
   * done its work by then, so a later attempt must not take it for a container that never ran.
   */
  static boolean endedWithItsAttempt(int status, String diagnostics) {
    if (status == KILLED_BY_AM || status == KILLED_AFTER_APPLICATION) {
      return true;
    }
    return status == ABORTED && !diagnostics.contains("lost");
  }
}
