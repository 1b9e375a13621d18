// Pictures and files that somebody chooses instead of an address: read as `data:` URLs, within their limit.

/** The chooser beside a field of an address; null if it has none. */
export function chooserOf(element) {
  return element.form.querySelector(`input[type="file"][data-for="${CSS.escape(element.id)}"]`);
}

/** A file that cannot be taken; its message is a sentence for people. */
export class BadFile extends Error {}

/** Read the chosen file; undefined if there is none. */
export function dataUrl(element) {
  const chooser = chooserOf(element);
  const file = chooser?.files[0];
  if (!file) return undefined;
  if (file.size > Number(chooser.dataset.most)) {
    throw new BadFile(`This file is larger than ${(Number(chooser.dataset.most) / 1e6).toFixed(1)} MB.`);
  }
  return new Promise((done, failed) => {
    const reader = new FileReader();
    reader.onload = () => done(reader.result);
    reader.onerror = () => failed(new BadFile(`${file.name} cannot be read.`));
    reader.readAsDataURL(file);
  });
}
