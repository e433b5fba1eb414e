// Browsers start no workers for pages opened from the file system: there the search runs in a hidden frame instead.
class FrameWorker extends EventTarget {
  constructor(url) {
    super()
    const frame = document.body.appendChild(document.createElement("iframe"))
    frame.hidden = true
    this.scope = frame.contentWindow
    this.scope.postMessage = data => this.dispatchEvent(new MessageEvent("message", { data }))
    this.ready = this.load(url)
    this.scope.importScripts = (...urls) => urls.reduce((before, next) => before.then(() => this.load(next)), Promise.resolve())
  }

  load(url) {
    const script = this.scope.document.createElement("script")
    script.src = url
    return new Promise((resolve, reject) => {
      script.onload = resolve
      script.onerror = reject
      this.scope.document.body.append(script)
    })
  }

  postMessage(data) {
    this.ready.then(() => this.scope.dispatchEvent(new MessageEvent("message", { data })))
  }
}

if (location.protocol === "file:") window.Worker = FrameWorker
