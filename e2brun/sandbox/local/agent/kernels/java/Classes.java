import java.io.File;
import java.net.MalformedURLException;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import jdk.jshell.execution.LoaderDelegate;
import jdk.jshell.spi.ExecutionControl;

/** The classes of the cells. */
final class Classes implements LoaderDelegate {
    private final Map<String, Class<?>> known = new HashMap<>();
    private final Loader loader = new Loader();

    private static final class Loader extends URLClassLoader {
        private final Map<String, byte[]> bytecodes = new HashMap<>();

        Loader() {
            super(new URL[0], Kernel.class.getClassLoader());
        }

        @Override
        protected Class<?> findClass(String name) throws ClassNotFoundException {
            byte[] code = bytecodes.get(name);
            if (code == null) return super.findClass(name);
            return defineClass(name, code, 0, code.length);
        }

        @Override
        protected void addURL(URL url) {
            super.addURL(url);
        }
    }

    @Override
    public void load(ExecutionControl.ClassBytecodes[] classes)
            throws ExecutionControl.ClassInstallException {
        boolean[] loaded = new boolean[classes.length];
        try {
            classesRedefined(classes);
            for (int i = 0; i < classes.length; i++) {
                Class<?> type = loader.loadClass(classes[i].name());
                known.put(classes[i].name(), type);
                loaded[i] = true;
                type.getDeclaredMethods(); // link it now: what does not fit is told of this cell
            }
        } catch (ClassNotFoundException | LinkageError error) {
            throw new ExecutionControl.ClassInstallException("load: " + error, loaded);
        }
    }

    @Override
    public void classesRedefined(ExecutionControl.ClassBytecodes[] classes) {
        for (ExecutionControl.ClassBytecodes each : classes) {
            loader.bytecodes.put(each.name(), ExitCalls.redirected(each.bytecodes()));
        }
    }

    @Override
    public void addToClasspath(String path) throws ExecutionControl.InternalException {
        try {
            for (String each : path.split(File.pathSeparator)) {
                loader.addURL(Path.of(each).toUri().toURL());
            }
        } catch (MalformedURLException error) {
            throw new ExecutionControl.InternalException(error.toString());
        }
    }

    @Override
    public Class<?> findClass(String name) throws ClassNotFoundException {
        Class<?> type = known.get(name);
        if (type == null) throw new ClassNotFoundException(name + " not found");
        return type;
    }
}
