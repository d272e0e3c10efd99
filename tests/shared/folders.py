"""A folder of one's own: what certificates and servers of tests share."""
import os


class InFolder:
    """Something whose files are in `self.folder`."""

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, text):
        with open(self.path(name), "w") as file:
            file.write(text)
        return self.path(name)
