package io.knitprovider.gateway;

/** The client side of the JVM. */
public final class GatewayMain {

  private GatewayMain() {}

  public static void main(String[] args) {
    System.exit(2);
  }
}
