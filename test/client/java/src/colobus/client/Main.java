package colobus.client;

/** The Java client program: --bootstrap HOST:PORT [--only TEXT]; other options of the runner are not needed here. */
public final class Main {
    private Main() {}

    private static String option(String[] args, String name, String missing) {
        for (int i = 0; i + 1 < args.length; i++) {
            if (args[i].equals(name)) {
                return args[i + 1];
            }
        }
        return missing;
    }

    public static void main(String[] args) {
        Context context = new Context(option(args, "--bootstrap", "127.0.0.1:9092"));
        Scenarios scenarios = new Scenarios();
        new Producing(context).register(scenarios);
        new Consuming(context).register(scenarios);
        new Administration(context).register(scenarios);
        new Grouping(context).register(scenarios);
        new Committing(context).register(scenarios);
        new GroupAdministration(context).register(scenarios);
        new Restarting(context).register(scenarios);
        String name = System.getenv().getOrDefault("CLIENT", "java");
        System.exit(scenarios.run(name, option(args, "--only", "")) == 0 ? 0 : 1);
    }
}
