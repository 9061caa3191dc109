import java.lang.reflect.Field;
import java.lang.reflect.Method;
import java.util.HashMap;
import java.util.Map;

/** The environment of a cell: system properties, and what System.getenv says where it lets us. */
final class Environment {
    private final Map<String, String> properties = new HashMap<>();
    private final Map<String, String> variables = new HashMap<>();

    /** What the whole sandbox has in its environment. */
    static void becomeProperties() {
        System.getenv().forEach((name, value) -> {
            if (!name.isEmpty()) System.getProperties().putIfAbsent(name, value);
        });
    }

    /** Sets it; what was before is kept. */
    static Environment of(Map<?, ?> env) {
        Environment before = new Environment();
        if (env == null) return before;
        env.forEach((key, value) -> {
            String name = (String) key;
            if (name.isEmpty() || name.indexOf('=') >= 0 || name.indexOf('\0') >= 0) return;
            before.properties.put(name, System.getProperty(name));
            before.variables.put(name, System.getenv(name));
            System.setProperty(name, (String) value);
            setVariable(name, (String) value);
        });
        return before;
    }

    void restore() {
        properties.forEach((name, value) -> {
            if (value == null) System.clearProperty(name);
            else System.setProperty(name, value);
        });
        variables.forEach(Environment::setVariable);
    }

    // Needs --add-opens java.base/java.lang=ALL-UNNAMED.
    @SuppressWarnings("unchecked")
    private static void setVariable(String name, String value) {
        try {
            Class<?> type = Class.forName("java.lang.ProcessEnvironment");
            Field field = type.getDeclaredField("theEnvironment");
            field.setAccessible(true);
            Map<Object, Object> all = (Map<Object, Object>) field.get(null);
            Object variable = made("java.lang.ProcessEnvironment$Variable", name);
            if (value == null) all.remove(variable);
            else all.put(variable, made("java.lang.ProcessEnvironment$Value", value));
        } catch (ReflectiveOperationException | RuntimeException error) {
            return; // another JDK: the properties are there all the same
        }
    }

    private static Object made(String type, String text) throws ReflectiveOperationException {
        Method make = Class.forName(type).getDeclaredMethod("valueOf", String.class);
        make.setAccessible(true);
        return make.invoke(null, text);
    }
}
